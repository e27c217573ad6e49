// The browser's side of `show_pair` in ui/what_if.py: an image with its map, the changed one beside it, and what can be dragged.

const shown = new WeakMap()       // the element on the page -> what it shows, its URLs, and what was set by hand

export default function (component) {
  const { data, parentElement, setStateValue } = component
  const root = parentElement.querySelector(".what-if")
  if (!root || !data) return

  const { header, parts } = unpack(data)
  const now = shown.get(root) ?? { opacity: 60, outline: false, urls: [] }
  shown.set(root, now)
  now.send = setStateValue
  now.show = () => {
    if (now.id === header.id) return
    const old = now.urls
    now.urls = parts.map((bytes, i) => URL.createObjectURL(new Blob([bytes], { type: header.parts[i].kind })))
    now.id = header.id
    build(root, header, now)
    old.forEach(url => URL.revokeObjectURL(url))
  }
  if (!now.moving) now.show()                      // an answer that comes while something is dragged waits for its end

  return () => {
    now.urls.forEach(url => URL.revokeObjectURL(url))
    shown.delete(root)
  }
}

function unpack(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data)
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  let at = 4 + length
  const parts = header.parts.map(part => bytes.subarray(at, (at += part.length)))
  return { header, parts }
}

function build(root, header, now) {
  const focused = root.getRootNode().activeElement?.dataset?.name
  const pair = make("div", { className: "pair" })
  const maps = [], outlines = []
  header.pictures.forEach((picture, i) => {
    const stage = make("div", { className: header.few ? "stage few" : "stage" })
    stage.style.aspectRatio = String(header.ratio)
    stage.append(make("img", { src: now.urls[picture.image], alt: picture.label, draggable: false }))
    if (picture.map !== null) maps.push(stage.appendChild(make("img", { className: "map", src: now.urls[picture.map], alt: "" })))
    if (header.outline && picture.outlined) {
      const svg = stage.appendChild(draw("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", "aria-hidden": "true" }))
      svg.append(draw("path", { d: header.outline }))
      outlines.push(svg)
    }
    if (i === header.pictures.length - 1) header.handles.forEach(handle => stage.append(grip(handle, stage, now)))
    const caption = make("figcaption")
    caption.append(make("b", { textContent: picture.title }), make("span", { className: "said", textContent: picture.said }))
    if (picture.moved) caption.append(make("span", { className: "moved", textContent: picture.moved }))
    const figure = make("figure")
    figure.append(caption, stage)
    pair.append(figure)
  })
  root.replaceChildren(pair, controls(header, now, maps, outlines))
  if (header.note) root.append(make("div", { className: "note", textContent: header.note }))
  if (focused) root.querySelector(`[data-name="${focused}"]`)?.focus()
}

function controls(header, now, maps, outlines) {
  const line = make("div", { className: "controls" })
  if (maps.length) {
    const slider = make("input", { type: "range", min: 0, max: 100, step: 1, value: now.opacity })
    slider.dataset.name = "opacity"
    const said = make("output")
    slider.oninput = () => {
      now.opacity = Number(slider.value)
      maps.forEach(map => { map.style.opacity = String(now.opacity / 100) })
      said.textContent = `${now.opacity} %`
    }
    slider.oninput()
    line.append(label("Opacity", slider, said))
  }
  if (outlines.length) {
    const box = make("input", { type: "checkbox", checked: now.outline })
    box.onchange = () => {
      now.outline = box.checked
      outlines.forEach(svg => { svg.style.display = now.outline ? "" : "none" })
    }
    box.onchange()
    line.append(label("", box, "true outline"))
  }
  if (maps.length) {
    const bar = make("i")
    bar.style.background = `linear-gradient(to right, ${header.colours.join(",")})`
    const legend = make("span", { className: "legend" })
    legend.append(header.low, bar, header.high)
    line.append(legend)
  }
  return line
}

// A dashed frame that is moved with the mouse, a finger or the arrow keys. The server hears of it when it is let go.
function grip(handle, stage, now) {
  const box = make("button", { type: "button", className: `handle ${handle.name}`, title: handle.label })
  box.dataset.name = handle.name
  box.setAttribute("aria-label", `${handle.label}. Arrow keys move it.`)
  box.style.width = `${100 * handle.width}%`
  box.style.height = `${100 * handle.height}%`
  let { x, y } = handle
  const place = () => {
    box.style.left = `${100 * x}%`
    box.style.top = `${100 * y}%`
  }
  const inside = value => Math.min(1, Math.max(0, value))
  const tell = () => now.send(handle.name, [Number(x.toFixed(4)), Number(y.toFixed(4))])
  place()

  box.onpointerdown = event => {
    event.preventDefault()
    box.focus()
    box.setPointerCapture(event.pointerId)
    const frame = stage.getBoundingClientRect()
    const from = { x: event.clientX / frame.width - x, y: event.clientY / frame.height - y }
    const start = { x, y }
    now.moving = true
    box.classList.add("moving")
    if (handle.text) box.textContent = handle.text
    box.onpointermove = moved => {
      x = inside(moved.clientX / frame.width - from.x)
      y = inside(moved.clientY / frame.height - from.y)
      place()
    }
    box.onpointerup = box.onpointercancel = () => {
      box.onpointermove = box.onpointerup = box.onpointercancel = null
      now.moving = false
      box.classList.remove("moving")
      if (x !== start.x || y !== start.y) tell()
      else now.show()
    }
  }
  box.onkeydown = event => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key]
    if (!step) return
    event.preventDefault()
    const far = event.shiftKey ? 0.1 : 0.02
    x = inside(x + far * step[0])
    y = inside(y + far * step[1])
    place()
    clearTimeout(now.timer)
    now.timer = setTimeout(tell, 250)              // who holds a key down asks once
  }
  return box
}

function label(...parts) {
  const element = make("label")
  element.append(...parts)
  return element
}

function make(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties)
}

function draw(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  return element
}
