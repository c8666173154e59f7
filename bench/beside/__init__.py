"""Cases beside the table with the peers: a module each, whose `measure(template, directory)` starts
servers of the form that the environment names, and returns figures by their names.
"""
