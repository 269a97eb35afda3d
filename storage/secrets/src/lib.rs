//! Secret references and their providers.
