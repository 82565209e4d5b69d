"""The bench's laboratory. Processes and front-ends are those of the tests: `from weirvm.procs import …`,
`from frontend import Frontend`, `from switch import Switch` work once this package is imported."""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
for folder in ("vm-images", "tests/e2e/lab"):
    sys.path.insert(0, os.path.join(ROOT, folder))
