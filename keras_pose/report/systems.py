"""One page that compares pose systems: cost, score, joints, pictures."""

import html

import numpy as np

from keras_pose import drawing, files, geometry, metrics
from keras_pose.data import annotations
from keras_pose.evaluation import failures
from keras_pose.report import page, pictures, trade_offs

SHOWN = (
    "Where most of them are right",
    "Where they differ most",
    "Where hardly one is right",
)
"""Headings of the people on the page, from easy to hard."""
SIZE = 256, 256
"""Height and width of their pictures."""


def write(
    path,
    table,
    words,
    joints,
    intervals,
    dataset,
    split,
    *,
    learned,
    minutes,
    title,
):
    """Writes the page, completely or not at all.

    Args:
        path: of the page.
        table: DataFrame, a row per system: that of `comparison.compare`, and
            year, parameters, GMACs, epochs, minutes, ms per person.
        words: {system: (its idea, what its authors published)}.
        joints: {system: [(N, K, 2) predictions, one per seed]}, in pixels of
            the photographs.
        intervals: {system: (low, high)} of its mean score, per cent.
        dataset: an opened data set.
        split: whose people were predicted.
        learned: number of people that each system learned from.
        minutes: how long each system trained.
        title: of the page.

    Returns:
        the path.
    """
    people = annotations.read_subjects(dataset, split)
    protocol = metrics.find(dataset.protocol)
    seeds = int(table["seeds"].iloc[0])
    counted = int(table["counted"].iloc[0])
    best = table["Mean"].idxmax()
    meaning = protocol.meaning(dataset.skeleton)
    lead = (
        f"{len(table)} systems learned from the same {learned:,} "
        f"{dataset.skeleton.kinds} for the same {minutes:g} minutes, "
        f"{page.many(seeds, 'seed')} each. {best} is ahead: "
        f"{table['Mean'][best]:.1f} % of the {meaning}."
    )
    top = page.header(
        "What a lecture compares, measured",
        title,
        lead,
        page.numbers(
            {
                f"{protocol.title} of {best}": f"{table['Mean'][best]:.1f} %",
                "systems": str(len(table)),
                "minutes of training each": f"{minutes:g}",
                f"{dataset.skeleton.kinds} counted": f"{counted:,}",
            }
        )
        + _notice(dataset),
    )
    curves = trade_offs.draw_thresholds(joints, people, dataset)
    costs = trade_offs.draw_costs(table, intervals, protocol.title)
    sections = [
        page.section(
            "The systems",
            _systems(table, words, intervals, protocol.title, dataset),
        ),
        page.section(
            "How exactly they locate",
            "<p>The share of joints that lie within a distance of the truth. "
            "On the left only a hit within a fraction of a cell counts, on the "
            "right a rough one is enough: curves that cross are systems that "
            "are good at different things.</p>",
            page.chart(curves, "Share of correct joints by threshold"),
        ),
        page.section(
            "What accuracy costs",
            "<p>Up is better, left is cheaper. Lines are 95 % intervals.</p>",
            page.chart(costs, "Score against multiply-accumulates and time"),
        ),
        page.section(
            "Joint by joint",
            f"<p>{html.escape(protocol.title)}, left and right together, mean "
            f"of the seeds. The stronger the colour, the more are right.</p>",
            page.heat(table[[*protocol.columns(dataset.skeleton), "Mean"]]),
        ),
        page.section(
            f"The same {dataset.skeleton.kinds}, seen by every system",
            _people(joints, people, dataset, split),
        ),
        page.section(
            "How to read it",
            _reading(minutes, seeds, dataset, split),
            page.command(
                "Make this page",
                "python -m reproductions.lecture"
                + ("" if dataset.is_drawn else f" --data {dataset.folder}")
                + f" --minutes {minutes:g} --seeds {seeds}",
            ),
        ),
    ]
    body = f"<style>{STYLE}</style>" + top + "".join(sections)
    with files.whole(path) as temporary:
        temporary.write_text(page.write(title, body), encoding="utf-8")
    return path


def chosen_people(joints, people, dataset):
    """Whom to show: {title of `SHOWN`: indices of two people}.

    Of people with nearly all joints counted: those whom most systems get right,
    those on whom the systems differ most, and those whom most get wrong.
    """
    skeleton = dataset.skeleton
    protocol = failures.joint_protocol(dataset.protocol)
    inside = np.array(protocol.in_mean(skeleton))
    rights = []
    for seeds in joints.values():
        correct, counted = protocol.hits(people.labels, seeds[0], skeleton)
        rights.append(np.asarray(correct)[0][:, inside].sum(axis=1))
    counted = np.asarray(counted)[:, inside].sum(axis=1)
    whole = np.flatnonzero(counted >= 0.9 * counted.max())
    share = np.stack(rights)[:, whole] / counted[whole]
    mean, spread = share.mean(axis=0), share.std(axis=0)
    order = -mean, -spread, mean
    picked, taken = {}, set()
    for heading, values in zip(SHOWN, order, strict=True):
        best = np.argsort(values, kind="stable")
        two = [i for i in best if i not in taken][:2]
        taken.update(two)
        picked[heading] = whole[two]
    return picked


def _notice(dataset):
    if not dataset.is_drawn:
        return ""
    return page.notice(
        f"These {dataset.skeleton.kinds} are drawn, not photographed: the "
        "scores compare the systems and say nothing about photographs."
    )


def _systems(table, words, intervals, title, dataset):
    """The lecture's table."""
    strict = [name for name in table.columns if name.endswith("@0.1")]
    heads = [
        "Year", "System", "Parameters", "GMACs", "Epochs", "Minutes",
        f"ms per {dataset.skeleton.kind}", title, *strict, "Published",
    ]  # fmt: skip
    several = table["seeds"].iloc[0] > 1
    best = table["Mean"].idxmax()
    rows = []
    for name, row in table.iterrows():
        idea, published = (html.escape(text) for text in words[name])
        low, high = intervals[name]
        deviation = f" ± {row['Mean ±']:.1f}" if several else ""
        rows.append(
            f"<tr{' class=best' if name == best else ''}>"
            f"<td>{int(row['year'])}</td><th>{html.escape(name)}"
            f"<small>{idea}</small></th>"
            f"<td>{int(row['parameters']):,}</td><td>{row['GMACs']:.3g}</td>"
            f"<td>{int(row['epochs'])}</td><td>{row['minutes']:.1f}</td>"
            f"<td>{row['ms per person']:.0f}</td>"
            f'<td class=share style="--share:{row["Mean"]:.1f}">'
            f"<b>{row['Mean']:.1f}</b>{deviation}"
            f"<small>{low:.1f} to {high:.1f}</small></td>"
            + "".join(f"<td>{row[column]:.1f}</td>" for column in strict)
            + f"<td class=published>{published}</td></tr>"
        )
    head = "".join(f"<th>{html.escape(text)}</th>" for text in heads)
    return (
        "<div class=scroll><table class=systems><thead><tr>"
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _people(joints, people, dataset, split):
    """The same people, drawn by every system."""
    skeleton = dataset.skeleton
    protocol = failures.joint_protocol(dataset.protocol)
    inside = np.array(protocol.in_mean(skeleton))
    picked = chosen_people(joints, people, dataset)
    everyone = np.unique(np.concatenate([*picked.values()]))
    images, back = pictures.crops(dataset, split, everyone, SIZE)
    into = geometry.invert(back)
    cards = {}
    for n, i in enumerate(everyone):
        truth = geometry.move(people.labels[i : i + 1, :, :2], into[n : n + 1])
        shown = {
            "truth": drawing.draw_skeleton(
                images[n], truth[0], skeleton, people.flags[i]
            )
        }
        for name, seeds in joints.items():
            reach = failures.reaches(
                seeds[0][i : i + 1], people.labels[i : i + 1], skeleton,
                protocol,
            )[0]  # fmt: skip
            points = geometry.move(seeds[0][i : i + 1], into[n : n + 1])[0]
            missed = drawing.draw_misses(images[n], points, truth[0], reach > 1)
            right = int((reach[inside] <= 1).sum())
            counted = int((~np.isnan(reach[inside])).sum())
            shown[f"{name}: {right} of {counted}"] = drawing.draw_skeleton(
                missed, points, skeleton
            )
        cards[i] = page.tiles(shown)
    return (
        f"<p>{pictures.of_sides(skeleton)}A <b class=wrong>red</b> line leads "
        "from a wrong joint to its true position. Seed by seed the pictures "
        "differ; these are the first's.</p>"
    ) + "".join(
        f"<h3>{heading}</h3>" + "".join(cards[i] for i in members)
        for heading, members in picked.items()
    )


def _reading(minutes, seeds, dataset, split):
    """What the numbers are, and what they are not."""
    lines = [
        f"Every system trained for {minutes:g} minutes of steps, as they were "
        "timed before the training on the same machine, in whole epochs, and "
        "at least one for each of its stages: the column Minutes says how long "
        "that is. A cheap network sees each of the people more often.",
        "The numbers behind ± are deviations over the seeds; from … to are "
        "95 % intervals of a bootstrap over the people of split "
        f"{split}, the same for all systems. Differences smaller than either "
        "are not differences.",
        "Published figures are of larger networks, trained far longer, many "
        "from weights that had learned to tell objects apart. They stand here "
        "for the order of the ideas, not to be reached.",
        "Parameters and multiply-accumulates are those of the small networks "
        "of this page, for one person.",
    ]
    if seeds == 1:
        lines.append(
            "There is one seed: another may change the order of neighbours."
        )
    return (
        "<ul>" + "".join(f"<li>{html.escape(t)}</li>" for t in lines) + "</ul>"
    )


STYLE = """
.systems td { text-align: right; white-space: nowrap; }
.systems thead th { text-align: right; white-space: nowrap; }
.systems thead th:nth-child(-n+2), .systems thead th:last-child {
  text-align: left; }
.systems td.published { text-align: left; white-space: normal;
  min-width: 120px; font-size: 0.85rem; color: var(--quiet); }
.systems th { font-weight: 600; }
.systems tbody th { min-width: 230px; }
.systems small { display: block; color: var(--quiet); font-weight: 400; }
.systems td.share { min-width: 130px; padding-bottom: 12px;
  background-position: left 10px bottom 6px;
  background-size: calc(var(--share) * (100% - 20px) / 100) 4px; }
.systems .best th { color: var(--right); font-weight: 700; }
"""
