"""Many copies of one model, trained on a mix of tasks in one pass over stacked weights."""
