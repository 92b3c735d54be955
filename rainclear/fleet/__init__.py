"""Many files on many machines: storage through fsspec, workers on an engine such as Ray."""
