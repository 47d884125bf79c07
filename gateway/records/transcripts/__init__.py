"""Foreign transcripts: ELMO, CLR, Open Badges and European Learning Model, each element accounted for."""
