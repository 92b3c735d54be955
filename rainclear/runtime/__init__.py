"""Running a network over frames and files: devices, the executor, the Derainer, whole jobs."""
