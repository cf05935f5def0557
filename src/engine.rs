//! The generator in this process: one thread that owns the model.
