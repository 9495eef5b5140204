const DAY_MS = 86_400_000;

/** The day of an instant in UTC: 2026-11-21. */
export const calendarDay = (at: Date): string => at.toISOString().slice(0, 10);

/** The month of an instant in UTC: 2026-11. */
export const calendarMonth = (at: Date): string => at.toISOString().slice(0, 7);

/** The week of an instant in UTC, Monday to Sunday, by ISO 8601: 2026-W47. A week belongs to the year that has its Thursday. */
export function calendarWeek(at: Date): string {
  const weekday = (at.getUTCDay() + 6) % 7;
  const thursday = new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate() - weekday + 3));
  const year = thursday.getUTCFullYear();
  const week = 1 + Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * DAY_MS));
  return `${year}-W${String(week).padStart(2, '0')}`;
}
