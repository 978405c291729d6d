"""A simulated month of the service, on which promtool evaluates the rules of production.

``simulated_month`` generates the series, ``incidents`` lists the incidents and their alerts, and
``replay`` evaluates the rules. ``python -m benchmarks.month`` runs the benchmark.
"""
