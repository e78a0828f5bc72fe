import { useEffect, useState } from 'preact/hooks'
import type { DroppedFile } from './session.ts'

/** Files that are dropped anywhere, with those in folders. */
export function useDrop(take: (files: readonly DroppedFile[]) => void): boolean {
  const [dragging, setDragging] = useState(false)
  useEffect(() => {
    const over = (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes('Files')) return
      event.preventDefault()
      setDragging(true)
    }
    const leave = (event: DragEvent) => event.relatedTarget === null && setDragging(false)
    const drop = (event: DragEvent) => {
      event.preventDefault()
      setDragging(false)
      // Before anything is awaited: afterwards the browser has emptied the list.
      const found = [...(event.dataTransfer?.items ?? [])].map((item) => {
        const entry = item.webkitGetAsEntry()
        const file = entry === null ? item.getAsFile() : null
        return entry !== null ? filesOf(entry) : file === null ? [] : [{ name: file.name, file }]
      })
      void Promise.all(found).then((files) => take(files.flat()))
    }
    addEventListener('dragover', over)
    addEventListener('dragleave', leave)
    addEventListener('drop', drop)
    return () => {
      removeEventListener('dragover', over)
      removeEventListener('dragleave', leave)
      removeEventListener('drop', drop)
    }
  }, [])
  return dragging
}

async function filesOf(entry: FileSystemEntry): Promise<DroppedFile[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))
    return [{ name: entry.fullPath.replace(/^\//, ''), file }]
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const files: DroppedFile[] = []
  // It hands out a hundred at a time, and says that it is done with an empty list.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) return files
    files.push(...(await Promise.all(some.map(filesOf))).flat())
  }
}
