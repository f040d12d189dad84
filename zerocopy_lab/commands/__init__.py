"""The subcommands of `python -m zerocopy_lab`, one module each.

Every module has `add_arguments(parser)` and `run(arguments) -> exit code`; the line that `--help`
shows for it is in `__main__`. Only the chosen one is imported.
"""
