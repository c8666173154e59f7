"""The rule for where the cost is counted: figures exist for one web server in each form."""

from tests.support.running_form import CLUSTER, UVICORN

# One process is counted under Daphne, a cluster under uvicorn. So both servers are, once each.
collect_ignore = ["test_cost.py"] if CLUSTER != UVICORN else []
