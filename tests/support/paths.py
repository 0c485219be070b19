"""Folders that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
CONTRACTS = ROOT.parent / "shared" / "contracts"  # schemas of the platforms, beside the checkout; tests skip without
