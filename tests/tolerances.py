"""The tolerances of all numerical tests, in one table: (quantity, dtype) -> absolute tolerance at values of order 1."""

TOLERANCES = {
    ("parallel against recurrent", "float32"): 2e-5,
    ("parallel against float64 reference", "float32"): 2e-5,
    ("chunked head against full logits", "float32"): 2e-5,
    ("batched against alone", "float32"): 2e-5,
}
