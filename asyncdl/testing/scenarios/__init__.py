"""Every way in which a server is known to misbehave, as data: what it does, and what a client must do then.

    from asyncdl.testing.scenarios import ALL, staged

    @pytest.mark.parametrize("scenario", ALL, ids=str)
    async def test_my_client(scenario, tmp_path):
        async with staged(scenario, tmp_path) as stage:
            ...  # let the client fetch `stage.url` to a file
            assert "wrong" != stage.brought(tmp_path / "file")

`python -m asyncdl.testing.scenarios "A03 always"` serves one for a client in another language.
"""

from asyncdl.testing.scenarios import changes, connections, framing, ranges, redirects, refusals, tls
from asyncdl.testing.scenarios.model import Host, Row, Scenario
from asyncdl.testing.scenarios.stage import Stage, staged

#: All scenarios, in the order of their rows.
ALL: tuple[Scenario, ...] = tuple(
    sorted(
        (
            scenario
            for module in (ranges, framing, connections, changes, redirects, refusals, tls)
            for scenario in module.SCENARIOS
        ),
        key=lambda scenario: scenario.row,
    )
)

__all__ = ["ALL", "Host", "Row", "Scenario", "Stage", "staged"]
