// The browser's side of pages/shared/viewer.py: show the picture, and go close to where it is clicked.

const shown = new WeakMap()       // frame -> { id, url }

export default function (component) {
  const { data, parentElement } = component
  const frame = parentElement.querySelector(".frame")
  if (!frame || !data) return
  const image = frame.querySelector("img")
  const { header, bytes } = unpack(data)
  if (shown.get(frame)?.id !== header.id) {
    if (shown.has(frame)) URL.revokeObjectURL(shown.get(frame).url)
    const url = URL.createObjectURL(new Blob([bytes], { type: header.kind }))
    shown.set(frame, { id: header.id, url })
    whole()
    image.onload = () => frame.classList.toggle("few", Math.max(image.naturalWidth, image.naturalHeight) <= 96)
    image.src = url
  }
  image.alt = header.alt
  frame.setAttribute("aria-label", `${header.alt}. Press Enter to look closer.`)

  frame.onclick = event => {
    if (frame.classList.contains("close")) return whole()
    const box = image.getBoundingClientRect()
    closer((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height)
  }
  frame.onkeydown = event => {
    if (event.key !== "Enter" && event.key !== " ") return
    event.preventDefault()
    frame.classList.contains("close") ? whole() : closer(0.5, 0.5)
  }

  function whole() {
    frame.classList.remove("close")
    frame.style.height = ""
    image.style.width = ""
  }

  // One pixel of the image becomes one of the screen, or more where even that would be smaller than what is shown now.
  function closer(x, y) {
    const height = frame.clientHeight
    const scale = Math.min(frame.clientWidth / image.naturalWidth, height / image.naturalHeight)
    const width = image.naturalWidth * Math.max(1, 2.5 * scale)
    frame.style.height = `${height}px`
    frame.classList.add("close")
    image.style.width = `${width}px`
    frame.scrollLeft = x * image.clientWidth - frame.clientWidth / 2
    frame.scrollTop = y * image.clientHeight - height / 2
  }

  return () => {
    const last = shown.get(frame)
    if (last) URL.revokeObjectURL(last.url)
    shown.delete(frame)
  }
}

function unpack(data) {
  const all = data instanceof Uint8Array ? data : new Uint8Array(data)
  const length = new DataView(all.buffer, all.byteOffset, 4).getUint32(0, true)
  return { header: JSON.parse(new TextDecoder().decode(all.subarray(4, 4 + length))), bytes: all.subarray(4 + length) }
}
