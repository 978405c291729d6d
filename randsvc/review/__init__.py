"""A look back over a period: what users got, what broke, how soon that was seen, how it compares.

Read from Prometheus alone. Needs the extra ``analysis``; the service imports none of it. Data flows
one way: ``source`` asks, ``counts`` and ``runs`` make figures of it, ``readings`` is all that is
read, ``sections`` is what is said of it, ``report`` writes it down.
"""
