import { accountName } from '../../host/index.ts';

/** Names of accounts by number, each looked up once. */
export type Owners = (uid: number, gid: number) => Promise<{ readonly user: string; readonly group: string }>;

/** No names yet. What has none is left to its number. */
export function createOwners(): Owners {
  const known = new Map<string, ReturnType<Owners>>();
  const find = async (uid: number, gid: number): ReturnType<Owners> => {
    const [user = '', group = ''] = (await accountName({ uid, gid })).split(':');
    return { user, group };
  };
  return (uid, gid) => {
    const key = `${uid}:${gid}`;
    const found = known.get(key) ?? find(uid, gid);
    known.set(key, found);
    return found;
  };
}
