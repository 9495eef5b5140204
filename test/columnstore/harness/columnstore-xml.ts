/** One module of a cluster. */
export interface Module {
  /** `pm1` is module 1: it owns dbroot 1 and runs the processes that exist once. */
  readonly name: string;
  readonly address: string;
  /** Numbers of its dbroots; none is possible. */
  readonly dbroots: readonly number[];
}

export const DATA_DIRECTORY = '/var/lib/columnstore';
const DBRM = `${DATA_DIRECTORY}/data1/systemFiles/dbrm`;

/** Sizes are small: several nodes share one machine. */
const FIXED = {
  SessionManager: { MaxConcurrentTransactions: 1000, TxnIDFile: `${DBRM}/SMTxnID` },
  VersionBuffer: { VersionBufferFileSize: '64MB' },
  OIDManager: { OIDBitmapFile: `${DBRM}/oidbitmap`, FirstOID: 3000 },
  WriteEngine: {
    BulkRoot: '/var/log/mariadb/columnstore/data/bulk',
    BulkRollbackDir: `${DATA_DIRECTORY}/data1/systemFiles/bulkRollback`,
    MaxFileSystemDiskUsagePct: 98,
    CompressedPaddingBlocks: 1,
  },
  DBBC: { NumBlocksPct: '128m', NumCaches: 1, NumThreads: 8, MaxOpenFiles: '2K', DecreaseOpenFilesCount: 200 },
  ExtentMap: { FilesPerColumnPartition: 4, BRM_UID: '0x0' },
  HashJoin: { TotalUmMemory: '1G', PmMaxMemorySmallSide: '256M', MaxElems: '128K', MaxBuckets: 128, AllowDiskBasedJoin: 'N' },
  JobList: { FlushInterval: '16K', FifoSize: 16, RequestSize: 1, ThreadPoolSize: 100 },
  RowAggregation: { AllowDiskBasedAggregation: 'N' },
  CrossEngineSupport: { Host: '127.0.0.1', Port: 3306, User: 'root', Password: '' },
  QueryStats: { Enabled: 'N' },
  UserPriority: { Enabled: 'N' },
  NetworkCompression: { Enabled: 'Y', NetworkCompressionType: 'Snappy' },
  StorageManager: { Enabled: 'N', MaxSockets: 30 },
  BatchInsert: { RowsPerBatch: 10_000 },
  Installation: { ServerTypeInstall: 2, PMwithUM: 'y', MySQLRep: 'n', DBRootStorageType: 'internal', UMStorageType: 'internal' },
} as const;

/** Blocks and queues of a scan, as the engine is shipped with. */
const SCANS = {
  ProcessorThreshold: 128,
  ProcessorQueueSize: '10K',
  ColScanBufferSizeBlocks: 512,
  ColScanReadAheadBlocks: 512,
  PrefetchThreshold: 1,
};

type Section = Readonly<Record<string, string | number>>;

/** Columnstore.xml of a cluster, the same file for all its nodes, as a cluster manager of the 5.x and 6.x generation leaves it. */
export function columnstoreXml(modules: readonly Module[]): string {
  const [primary] = modules;
  if (primary === undefined) throw new Error('a cluster has a module');
  const sections: Record<string, Section> = {
    SystemConfig: systemConfig(modules),
    SystemModuleConfig: moduleConfig(modules),
    DBRM_Controller: { NumWorkers: modules.length, ...at(primary.name, 8616) },
    // Without the sizes of scans PrimProc ends by itself when it reads a million rows.
    PrimitiveServers: { ...SCANS, Count: modules.length, ConnectionsPerPrimProc: 2, DirectIO: 'y', RotatingDestination: 'n' },
    DDLProc: at(primary.address, 8612),
    DMLProc: at(primary.address, 8614),
    ...Object.assign({}, ...modules.map(listeners)),
    ...FIXED,
  };
  const body = Object.entries(sections).map(([name, section]) => element(name, `\n${elements(section, '    ')}  `));
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Columnstore Version="V1.0.0">\n${body.join('')}${registration(modules, primary)}</Columnstore>\n`;
}

const at = (address: string, port: number): Section => ({ IPAddr: address, Port: port });

function systemConfig(modules: readonly Module[]): Section {
  const dbroots = modules.flatMap((module) => module.dbroots);
  return {
    SystemName: 'columnstore-1',
    ParentOAMModuleName: 'pm1',
    PrimaryUMModuleName: 'pm1',
    DBRootCount: dbroots.length,
    ...Object.fromEntries(dbroots.map((number) => [`DBRoot${number}`, `${DATA_DIRECTORY}/data${number}`])),
    DBRMRoot: `${DBRM}/BRM_saves`,
    TableLockSaveFile: `${DBRM}/tablelocks`,
    // Seconds; as long as this it takes controllernode to stop while it has clients.
    DBRMTimeOut: 3,
    DBRMSnapshotInterval: 100_000,
    WaitPeriod: 10,
    MemoryCheckPercent: 95,
    SystemTempFileDir: '/tmp/columnstore_tmp_files',
    hdfsRdwrScratch: '/rdwrscratch',
  };
}

function moduleConfig(modules: readonly Module[]): Section {
  const each = modules.map(({ name, address, dbroots }, index): Section => {
    const id = index + 1;
    return {
      [`ModuleIPAddr${id}-1-3`]: address,
      [`ModuleHostName${id}-1-3`]: name,
      [`ModuleDisableState${id}-3`]: 'ENABLED',
      [`ModuleDBRootCount${id}-3`]: dbroots.length,
      ...Object.fromEntries(dbroots.map((number, ordinal) => [`ModuleDBRootID${id}-${ordinal + 1}-3`, number])),
    };
  });
  // Type 2, "um", is a thing of the past, but has to be named for PrimProc to start.
  const types = { ModuleType2: 'um', ModuleCount2: 0, ModuleType3: 'pm', ModuleDesc3: 'Performance Module', ModuleCount3: modules.length };
  return Object.assign(types, ...each);
}

/** Where the processes of one module listen. */
function listeners({ name, address }: Module, index: number): Record<string, Section> {
  const id = index + 1;
  return {
    [`PMS${id}`]: at(address, 8620),
    [`ExeMgr${id}`]: { ...at(address, 8601), ...(id === 1 ? { Module: 'unassigned' } : {}) },
    [`pm${id}_WriteEngineServer`]: at(address, 8630),
    // Workers that were added later carry no module name.
    [`DBRM_Worker${id}`]: { ...at(address, 8700), ...(id === 1 ? { Module: name } : {}) },
  };
}

/** What a cluster manager writes down for itself; the engine reads none of it. */
function registration(modules: readonly Module[], primary: Module): string {
  const nodes = modules.map(({ address }) => `<Node>${address}</Node>`).join('');
  const dbroots = modules.flatMap((module) => module.dbroots);
  return [
    ['ConfigRevision', '1'],
    ['ClusterManager', 'CMAPI'],
    ['ClusterName', 'columnstore-1'],
    ['NextNodeId', String(modules.length + 1)],
    ['NextDBRootId', String(Math.max(...dbroots) + 1)],
    ['DesiredNodes', nodes],
    ['ActiveNodes', nodes],
    ['InactiveNodes', ''],
    ['PrimaryNode', primary.name],
    ['Maintenance', 'false'],
  ]
    .map(([name = '', content = '']) => element(name, content))
    .join('');
}

const elements = (section: Section, indent: string): string =>
  Object.entries(section)
    .map(([name, value]) => element(name, String(value), indent))
    .join('');

const element = (name: string, content: string, indent = '  '): string => `${indent}<${name}>${content}</${name}>\n`;
