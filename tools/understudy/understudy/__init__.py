"""The understudy: a small Llama model for Mummer, and the text it learns from. See docs/understudy.md."""
