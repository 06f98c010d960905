"""Where the payment key may come from: a live one by environment only, and only when asked for."""

from pathlib import Path

import pytest

from marketplace.config import StripeConfig, stripe_key
from marketplace.embedded import Layout, Supervisor
from marketplace.errors import ConfigError

LIVE, TEST = "sk_live_x", "sk_test_x"


def config(tmp_path, key, **more):
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(key)
    return StripeConfig("http://127.0.0.1:1", path, path, **more)


def test_a_test_key_comes_from_the_file_or_the_environment(tmp_path):
    assert stripe_key(config(tmp_path, TEST), {}) == TEST
    assert stripe_key(config(tmp_path, TEST), {"OMIC_STRIPE_KEY": "rk_test_y"}) == "rk_test_y"


@pytest.mark.parametrize("live", [False, True])
def test_a_live_key_in_a_file_is_refused(tmp_path, live):
    with pytest.raises(ConfigError, match="OMIC_STRIPE_KEY") as refused:
        stripe_key(config(tmp_path, LIVE, live=live), {})
    assert LIVE not in str(refused.value)


def test_a_live_key_counts_only_when_real_money_was_asked_for(tmp_path):
    given = {"OMIC_STRIPE_KEY": LIVE}
    with pytest.raises(ConfigError, match="not asked for"):
        stripe_key(config(tmp_path, TEST), given)
    assert stripe_key(config(tmp_path, TEST, live=True), given) == LIVE


def test_an_embedded_market_does_not_even_see_it_unless_asked(monkeypatch):
    monkeypatch.setenv("OMIC_STRIPE_KEY", LIVE)
    plain = Supervisor(Layout(Path("x"), 8080, {}))
    asked = Supervisor(Layout(Path("x"), 8080, {"marketplace": {"stripe": {"live": True}}}))
    assert "OMIC_STRIPE_KEY" not in plain._environment("marketplace")
    assert asked._environment("marketplace")["OMIC_STRIPE_KEY"] == LIVE
    assert "OMIC_STRIPE_KEY" not in asked._environment("compute")
