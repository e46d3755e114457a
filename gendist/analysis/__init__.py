"""Tables, figures, the report, costs, cards and tracking of finished stages."""
