"""Game days: a seeded sequence of incidents, the page on which teams report them, and the score.

Data flow one way: ``sequence`` draws the incidents, ``run`` causes them and serves ``page``,
``journal`` keeps on disk what happened and what was reported, ``score`` judges it, ``report``
writes the page that is handed out. It needs the extra ``analysis``.
"""
