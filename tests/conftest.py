"""What every test has."""

import os

# Read by OpenMP when torch is imported: threads that spin while they wait starve their neighbours.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
