// The browser's side of ui/leaderboard.py: a table that is sorted and picked from by clicks, which the server answers.

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const scroll = parentElement.querySelector(".scroll"), table = parentElement.querySelector("table")
  if (!table || !data) return
  const { columns, groups, rows, label, tall } = data
  scroll.style.setProperty("--tall", tall)
  table.setAttribute("aria-label", label)

  const above = make("tr", groups.map(({ title, span }) =>
    make("th", title, { className: title ? "group first" : "group", colSpan: span, scope: "colgroup" })))
  const head = make("tr", columns.map(column => {
    const arrow = { down: " \u2193", up: " \u2191" }[column.sorted] ?? ""
    const title = column.title + arrow
    let content = title
    if (column.key) {
      content = make("button", title, { type: "button", title: column.help, disabled: column.shut })
      content.setAttribute("aria-label", column.shut ? `${column.title}: ${column.help}` : `Sort by ${column.title}`)
      content.onclick = () => setTriggerValue("sorted", column.key)
    }
    const th = make("th", content, { scope: "col", className: css(column), title: column.help })
    if (column.sorted) th.setAttribute("aria-sort", column.sorted === "down" ? "descending" : "ascending")
    return th
  }))
  const body = rows.map(row => {
    const pick = make("button", row.letter, { type: "button", className: "pick", title: row.letter ? "Picked" : "Pick this run" })
    pick.setAttribute("aria-pressed", String(Boolean(row.letter)))
    pick.setAttribute("aria-label", `Pick ${row.name}`)
    pick.style.setProperty("--hue", row.hue || "transparent")
    pick.style.setProperty("--ink", row.ink || "inherit")
    const line = make("tr", [make("td", pick), ...row.cells.map((cell, i) => draw(cell, columns[i + 1]))],
                      { className: row.letter ? "picked" : "" })
    line.onclick = event => { event.preventDefault(); setTriggerValue("picked", row.id) }
    return line
  })
  const buttons = () => [...table.querySelectorAll("button")]
  const focused = buttons().indexOf(parentElement.activeElement), top = scroll.scrollTop      // keep the place
  table.replaceChildren(make("thead", [above, head]), make("tbody", body))
  if (focused >= 0) buttons()[focused]?.focus()
  scroll.scrollTop = top
}

function draw(cell, column) {
  if (Array.isArray(cell)) return make("td", cell.map(tag => make("span", tag, { className: "tag" })))
  const { text, small, best } = cell
  return make("td", [best ? make("b", text) : text, ...(small ? [make("small", small)] : [])], { className: css(column) })
}

function css(column) {
  return [column.numeric ? "number" : column.wide ? "name" : "", column.first ? "first" : ""].join(" ").trim()
}

function make(tag, content, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...[content].flat())               // strings become text, never HTML
  return element
}
