"""The tolerances of all numerical tests, in one table: (quantity, dtype) -> absolute tolerance at values of order 1."""

TOLERANCES = {
    ("parallel against step", "float64"): 1e-10,
    ("parallel against step", "float32"): 1e-4,
    ("gradient against step", "float64"): 1e-9,
    ("chunked head against full logits", "float32"): 2e-5,
    ("batched against alone", "float32"): 2e-5,
}
