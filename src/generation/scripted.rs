//! A generator without a model, for tests and dry runs: it answers from a script.
