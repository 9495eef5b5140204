/** True for a directory itself, and for what lies below it at any depth. */
export const isWithin = (path: string, directory: string): boolean => path === directory || path.startsWith(`${directory}/`);
