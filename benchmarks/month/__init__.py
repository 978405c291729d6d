"""A month of the service, generated, and judged by the alert rules of production.

``world`` makes the series, ``incidents`` says what goes wrong and which alert is to say so,
``replay`` lets promtool evaluate the real rules over them. ``python -m benchmarks.month`` runs all.
"""
