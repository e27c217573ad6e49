"""The charts of the pages and of the reports: arrays in, an altair chart out, drawn in a browser or saved as
SVG and PNG.

    palette           one colour for each meaning
    axes              where an axis begins and ends, its ticks and what is written beside them
    chart             `Chart`: what altair wrote once, and the data of this moment
    curves            ROC, precision-recall, learning curves, the search for a learning rate
    probabilities     histogram of scores, reliability diagram, confusion matrix
    comparisons       estimates with intervals, differences, studies, score against cost
    members           several networks as one: folds, ways to combine, agreement, weights
    sanity            what the sanity checks of explanations found
    architecture      a network as its stages
    save              SVG and PNG without a browser and without a network connection

Altair is imported when the first chart is built, not before: it takes 0.3 s, which the first page need not
wait for.
"""
