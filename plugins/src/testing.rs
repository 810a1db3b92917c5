//! What tests share: a host that is only pretended, trees written as text, and the run of documented examples.
