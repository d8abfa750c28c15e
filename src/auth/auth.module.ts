import { type DynamicModule, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { ADMIN_TOKEN, AuthGuard } from './auth.guard.js';
import { RATE_LIMIT_PER_MINUTE, RateLimitGuard } from './rate-limit.guard.js';

export interface AuthOptions {
  readonly adminToken: string;
  /** Of one key, or of one address without a key; 0 for no limit. */
  readonly requestsPerMinute: number;
}

@Module({})
export class AuthModule {
  static forRoot({ adminToken, requestsPerMinute }: AuthOptions): DynamicModule {
    return {
      module: AuthModule,
      providers: [
        { provide: ADMIN_TOKEN, useValue: adminToken },
        { provide: RATE_LIMIT_PER_MINUTE, useValue: requestsPerMinute },
        // In this order: how much one may ask depends on who asks.
        { provide: APP_GUARD, useClass: AuthGuard },
        { provide: APP_GUARD, useClass: RateLimitGuard },
      ],
    };
  }
}
