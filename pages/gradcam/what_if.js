// The browser's side of `show_pair` in pages/gradcam/what_if.py: an image with its map, the changed one beside it, and what can be dragged.

const shown = new WeakMap()       // the element on the page -> what it shows, its URLs, and what was set by hand

export default function (component) {
  const { data, parentElement, setStateValue } = component
  const root = parentElement.querySelector(".what-if")
  if (!root || !data) return

  const { header, urls } = unpack(data)
  const now = shown.get(root) ?? { opacity: 60, outline: false, urls: [] }
  shown.set(root, now)
  now.send = setStateValue
  now.show = () => {
    if (now.id === header.id) return
    const old = now.urls
    now.urls = urls()
    now.id = header.id
    build(root, header, now)
    forget(old)
  }
  if (!now.moving) now.show()                      // a prediction that comes during a drag waits for its end

  return () => {
    forget(now.urls)
    shown.delete(root)
  }
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
    if (header.outline && picture.outlined) outlines.push(outlined(stage, header.outline))
    if (picture.waiting) stage.append(make("div", { className: "waiting", textContent: picture.waiting }))
    if (i === header.pictures.length - 1) header.handles.forEach(handle => stage.append(grip(handle, stage, now)))
    const caption = make("figcaption")
    caption.append(make("b", { textContent: picture.title }), make("span", { className: "text", textContent: picture.text }))
    if (picture.moved) caption.append(make("span", { className: "moved", textContent: picture.moved }))
    const figure = make("figure")
    figure.append(caption, stage)
    pair.append(figure)
  })
  root.replaceChildren(pair, controls(header, now, maps, outlines))
  if (header.note) root.append(make("div", { className: "note", textContent: header.note }))
  if (focused) root.querySelector(`[data-name="${focused}"]`)?.focus()
}

// A dashed frame that is moved with the mouse, a finger or the arrow keys. The server hears of it on release.
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
  const send = () => now.send(handle.name, [Number(x.toFixed(4)), Number(y.toFixed(4))])
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
      if (x !== start.x || y !== start.y) send()
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
    now.timer = setTimeout(send, 250)              // a key held down sends once
  }
  return box
}
