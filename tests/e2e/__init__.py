"""The program as a process: browser, crashes, and real pipelines."""
