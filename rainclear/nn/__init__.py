"""Networks; they import torch alone. :mod:`rainclear.nn.registry` lists them."""
