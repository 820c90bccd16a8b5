"""Ensemble weights by SciPy's SLSQP, for crates/ensemble/src/weights.rs.

    python tests/goldens/ensemble_weights.py > tests/goldens/ensemble_weights.json

Each case is a table of the probabilities that m members give the true class of n images. The
weights minimise -mean(log(p @ w)) over the simplex; SLSQP starts from equal weights.
"""

import json

import numpy as np
import scipy
from scipy.optimize import minimize


def solve(p):
    m = p.shape[1]
    loss = lambda w: -np.mean(np.log(p @ w))
    slope = lambda w: -np.mean(p / (p @ w)[:, None], axis=0)
    simplex = {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(m)}
    best = minimize(
        loss, np.full(m, 1 / m), jac=slope, method="SLSQP", bounds=[(0, 1)] * m,
        constraints=[simplex], options={"ftol": 1e-15, "maxiter": 1000},
    )
    assert best.success or "linesearch" in best.message, best.message
    w = np.clip(best.x, 0, 1)
    w /= w.sum()
    # The certificate of optimality: no slope is below the mixture's own.
    assert (-slope(w)).max() < 1 + 1e-5, -slope(w)
    return w, loss(w)


def case(name, p):
    p = np.round(np.maximum(p, 1e-12), 6)
    w, value = solve(p)
    return {"name": name, "members": p.shape[1], "p": p.ravel().tolist(),
            "weights": w.tolist(), "loss": value}


rng = np.random.default_rng(17)
skill = rng.uniform(0.2, 0.95, (60, 1))
cases = [
    case("three members of like strength", np.clip(skill + rng.normal(0, 0.2, (60, 3)), 0.01, 0.99)),
    case("one strong, one weak", np.stack([rng.beta(8, 2, 80), rng.beta(2, 3, 80)], 1)),
    case("five members, two useless",
         np.concatenate([rng.beta(3, 2, (80, 3)), rng.beta(1.5, 8, (80, 2))], 1)),
    case("specialists", np.where(np.arange(60)[:, None] % 3 == np.arange(3), 0.9, 0.15)
         + rng.uniform(0, 0.05, (60, 3))),
    case("overconfident mistakes", np.where(rng.random((70, 3)) < 0.1, 1e-4, rng.beta(9, 1, (70, 3)))),
]
print(json.dumps(cases))
