// The browser's side of pages/ensemble/pair_matrix.py.

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const table = parentElement.querySelector("table")
  if (!table || !data) return
  const { texts, shade, names, label, selected } = data

  table.setAttribute("aria-label", label)
  table.className = names.length > 8 ? "many" : ""
  const head = make("tr", [make("td", ""), ...names.map(name => make("th", name, { scope: "col" }))])
  const rows = texts.map((row, a) => {
    const cells = row.map((text, b) => {
      if (a === b) return make("td", "")
      const button = make("button", text, { type: "button" })
      button.style.setProperty("--shade", shade[a][b])
      button.setAttribute("aria-label", `${names[a]} and ${names[b]}: ${text}. Show the images`)
      button.setAttribute("aria-pressed", String(selected?.[0] === a && selected?.[1] === b))
      button.onclick = () => {
        for (const other of table.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button))
        setTriggerValue("clicked", [a, b])
      }
      return make("td", [button])
    })
    return make("tr", [make("th", names[a], { scope: "row" }), ...cells])
  })

  const focused = [...table.querySelectorAll("button")].indexOf(parentElement.activeElement)   // keep the place of the keyboard
  table.replaceChildren(make("thead", [head]), make("tbody", rows))
  if (focused >= 0) table.querySelectorAll("button")[focused]?.focus()
}

function make(tag, content, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...[content].flat())               // strings become text, never HTML
  return element
}
