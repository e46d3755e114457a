"""What is made of finished stages: tables, figures, the report, costs, cards, tracking."""
