//! Tensor operations that candle lacks or does slowly, each with its gradient.
