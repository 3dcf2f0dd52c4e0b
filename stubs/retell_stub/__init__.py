"""A stub of the Retell REST API (FACTS-calcom-retell.md section 2.1). Calls are put by the platform's side of a run.

`calls` keeps the call objects, `apps` has the API and control listeners, `__main__` the command line. Serving and
listener options are those of `calcom_stub`, the same for both stubs. Imports nothing of the system under test and
nothing of the harness.
"""
