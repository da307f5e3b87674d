"""How every command starts and ends: flags in, one clear line if it fails."""

import re
import sys

import tyro


def run(main, config, description):
    """Parses flags and calls `main`; bad input exits 1 with one line.

    Ctrl-C exits 130: every command can be stopped and called again.
    """
    # tyro joins the lines of a paragraph: "Run   ..." begins one of its own
    text = re.sub(r"\n(?=[A-Z]\w*(?: \w+)? {2})", "\n\n", description)
    settings = tyro.cli(config, description=text)
    try:
        main(settings)
    except KeyboardInterrupt:
        print("\nstopped; the same command continues", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError, KeyError) as error:
        # A KeyError prints its message in quotes; an OSError prints its number.
        said = error.args[0] if isinstance(error, KeyError) else error
        print(f"error: {said}", file=sys.stderr)
        sys.exit(1)
