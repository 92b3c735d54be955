import pytest
import torch

from rainclear.runtime.device import one_thread


def test_small_work_keeps_to_one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(KeyError), one_thread():
            assert torch.get_num_threads() == 1
            raise KeyError
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
