"""How often each rule is wrong, and how long it takes to be right: ours and what people use today, on the same
seeded streams.

`make bench-evidence` prints every table with its progress and writes them into docs/evidence.md. Everything is
simulated: that is the only way to know the truth behind each label.

monitors      is the model failing: false alarms, and delay
candidates    is a candidate worse: false rollbacks, missed ones, wrong promotions, labels
histograms    has an input drifted: false alarms by rows and features
rivals        the packages river, nannyml and evidently, each in an environment of its own
page          the tables in docs/evidence.md
"""
