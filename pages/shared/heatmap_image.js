// The browser's side of `show_map` in pages/shared/heatmap_image.py: a map over an image, and its controls.

const shown = new WeakMap()       // the element on the page -> what it shows, its URLs, and what was set by hand

export default function (component) {
  const { data, parentElement } = component
  const figure = parentElement.querySelector("figure")
  if (!figure || !data) return

  const { header, urls } = unpack(data)
  const now = shown.get(figure) ?? { opacity: 60, outline: false, urls: [] }
  if (now.id !== header.id || now.length !== data.byteLength) {
    forget(now.urls)
    now.urls = urls()
    now.id = header.id
    now.length = data.byteLength
    build(figure, header, now)
  }
  shown.set(figure, now)

  return () => {
    forget(now.urls)
    shown.delete(figure)
  }
}

function build(figure, header, now) {
  const [image, map] = now.urls
  const stage = make("div", { className: "stage" })
  stage.style.aspectRatio = String(header.ratio)
  stage.style.width = `${header.height * header.ratio}px`
  stage.append(make("img", { src: image, alt: header.label }))
  const maps = map ? [stage.appendChild(make("img", { src: map, alt: "" }))] : []
  const outlines = header.outline ? [outlined(stage, header.outline)] : []
  figure.replaceChildren(stage, controls(header, now, maps, outlines))
  if (header.empty) {
    figure.append(make("div", { className: "note", textContent: "No evidence for this class at this layer: the map is empty." }))
  }
}
