"""The application of operators: pages of the admin, repairs, and the doctor of a deployment."""
