"""Reading, for people and pictures, never for serving: dumps, verification, lists of segments."""
