"""The verdict: what labs found, claim by claim, by a stated rule; one page about it.

| you want to know | read |
|---|---|
| how the parts of a claim make one judgement | `judgement` |
| what a lab left, here or recorded elsewhere | `results` |
| what other machines say, and which entries were refused | `machines` |
| the sentences at the top | `answer` |
| what a learner thought before | `guesses` |
| all that is said, lab by lab | `report`, `chapter` |
| how it looks: the page, and what lab 14 shows of it | `page`, `*.html.jinja`, `page.css` |
"""
