"""What the checks against transformers share: the package, quiet, or an exit with 77; the binary."""

import subprocess
import sys

try:
    import torch
    import transformers
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def temper(*arguments):
    done = subprocess.run([sys.argv[1], *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"temper {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout
