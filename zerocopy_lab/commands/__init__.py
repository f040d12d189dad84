"""The subcommands of `python -m zerocopy_lab`, one module each.

Every module has `HELP` (one line), `add_arguments(parser)` and `run(arguments) -> exit code`. Only
the chosen one is fully used, so heavy imports belong inside `run`.
"""
