"""Sends what the OpenAPI documents describe, right and wrong, and holds the responses to them.

Schemathesis generates the requests and checks status, content type and body of each response.
"""

from collections.abc import Mapping
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable

from randsvc.service.openapi import DOCUMENTS

__all__ = ("check_documents",)


def check_documents(urls: Mapping[str, str], examples: int, number: int) -> tuple[int, list[str]]:
    """Give the number of requests, and a line for each operation that breaks its document.

    ``urls`` are the public ports by service, ``examples`` the requests for each operation and mode,
    ``number`` the seed.
    """
    sent, broken = 0, []
    for service, document in DOCUMENTS.items():
        schema = schemathesis.openapi.from_dict(dict(document))
        for found in schema.get_all_operations():
            operation = found.ok()  # type: ignore[union-attr]  # the documents are valid
            for mode in schemathesis.GenerationMode:

                @seed(number)
                @settings(
                    max_examples=examples,
                    database=None,
                    deadline=None,
                    phases=(Phase.generate,),
                    suppress_health_check=list(HealthCheck),
                )
                @given(case=operation.as_strategy(generation_mode=mode))
                def check(case: schemathesis.Case[Any]) -> None:
                    nonlocal sent
                    sent += 1
                    case.call_and_validate(base_url=urls[service])  # noqa: B023

                try:
                    check()
                except Unsatisfiable:
                    pass  # an operation without parameters has no wrong requests
                except (Exception, BaseExceptionGroup) as error:
                    said = " ".join(str(error).split())[:500]
                    broken.append(f"{service} {operation.label} ({mode.value}): {said}")
    return sent, broken
