"""Other training loops: libraries whose loops weigh samples by hardsight."""
