/** Capture: taking the image of a node's storage inside the still point, and completing its part afterwards. */
export { captureTask } from './capture-task.ts';
export { type Captures, createCaptures } from './captures.ts';
export { removeClonesOfEarlierLife } from './columnstore/left-clones.ts';
export { precopyTask } from './precopy-task.ts';
export { publishTask } from './publish-task.ts';
